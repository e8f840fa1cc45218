"""How a shell script starts an engine, and where one more argument can be written into its text.

The text is what a container gives to ``sh -c``. Kubernetes pastes ``$(NAME)`` into it before any
shell sees it (``third_party/forked/golang/expansion/expand.go``), so it is parsed as pasted, and
every offset is led back to the text as written. tree-sitter-bash tells the commands apart; the
words of a command are read here a second time, by the quoting rules of POSIX (Shell Command
Language, 2.2 and 2.6). Where the two disagree, the text is not touched.

``read`` and ``write`` are the doors, ``model`` is what goes through them. Behind ``read`` each builds
on those before it: ``layers``, ``pasting``, ``parse``, ``commands``, ``syntax``, ``words``, ``calls``,
``events``, ``nesting``, ``obstacles``, ``slots``.
"""
