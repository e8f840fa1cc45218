"""What the syntax tree tells of a text: its commands, assignments, functions, comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tree_sitter import Node

from kvsync.core.script.budget import Budget
from kvsync.core.script.commands import OPAQUE_NODES, REDIRECTS, WORD_NODES, Command, Span, span_of
from kvsync.core.script.parse import parse

_INSIDE = {
    "if_statement": "an if",
    "for_statement": "a loop",
    "c_style_for_statement": "a loop",
    "while_statement": "a loop",
    "case_statement": "a case",
    "function_definition": "a function",
    "subshell": "a subshell",
    "compound_statement": "a group of commands",
    "command_substitution": "a command substitution",
    "process_substitution": "a process substitution",
}

_ASSIGNERS = frozenset({"getopts", "let", "mapfile", "read", "readarray"})
_CHAINS = frozenset({"list", "negated_command", "pipeline", "redirected_statement"})
_ASSIGNING_EXPANSION = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):?=")


@dataclass(slots=True)
class Syntax:
    """What the tree tells, in the places of a layer's text."""

    masked: str
    broken: bool = False
    commands: list[Command] = field(default_factory=list)
    comments: list[Span] = field(default_factory=list)
    assigned: set[str] = field(default_factory=set)
    assigned_values: list[Span] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    opaque: dict[int, int] = field(default_factory=dict)
    """Where parts of words start and end that only a running shell can tell."""
    _by_node: dict[int, Command] = field(default_factory=dict)
    _late: list[tuple[int, Node]] = field(default_factory=list)  # redirections and their commands

    def _text(self, node: Node) -> str:
        return self.masked[node.start_byte : node.end_byte]

    def note(self, node: Node, inside: str) -> None:
        """Take from a node what is of use; nodes come in the order of the text."""
        if node.type in OPAQUE_NODES:
            self.opaque.setdefault(*span_of(node))
        noting = _NOTED.get(node.type)
        if noting:
            noting(self, node, inside)

    def _note_comment(self, node: Node, _: str) -> None:
        self.comments.append(span_of(node))

    def _note_command(self, node: Node, inside: str) -> None:
        command = Command(node.start_byte, inside)
        for child in node.children:
            if child.type in REDIRECTS:
                command.add_redirect(child, self.masked)
            elif child.type != "variable_assignment":
                command.pieces.append(span_of(child))
        self.commands.append(command)
        self._by_node[node.id] = command

    def _note_array(self, node: Node, inside: str) -> None:
        """Its elements are no command, but may become the words of one."""
        pieces = [span_of(child) for child in node.named_children if child.type in WORD_NODES]
        self.commands.append(Command(node.start_byte, inside or "an array", pieces))

    def _note_redirected(self, node: Node, _: str) -> None:
        """Redirections hang at a whole list or pipeline, but belong to its last command."""
        redirects = [child for child in node.children if child.type in REDIRECTS]
        body: Node | None = node
        while body is not None and body.type in _CHAINS:
            body = next((c for c in reversed(body.named_children) if _is_statement(c)), None)
        if body is not None and body.type == "command":
            self._late += [(body.id, redirect) for redirect in redirects]

    def _note_assignment(self, node: Node, _: str) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None:
            self.assigned.add(self._text(name).partition("[")[0])
        if value is not None and value.type != "array":
            self.assigned_values.append(span_of(value))

    def _note_names(self, node: Node, _: str) -> None:
        """The variable of a loop, and those that are unset."""
        self.assigned.update(self._text(c) for c in node.children if c.type == "variable_name")

    def _note_expansion(self, node: Node, _: str) -> None:
        match = _ASSIGNING_EXPANSION.match(self._text(node))
        if match:
            self.assigned.add(match.group(1))

    def _note_function(self, node: Node, _: str) -> None:
        name = node.child_by_field_name("name")
        if name is not None:
            self.functions.add(self._text(name))

    def finish(self) -> None:
        """Do what needs every command to be known."""
        for owner, redirect in self._late:
            if owner in self._by_node:
                self._by_node[owner].add_redirect(redirect, self.masked)
        for command in self.commands:
            words = [self.masked[start:end] for start, end in command.words(self.masked)]
            if words and (words[0] in _ASSIGNERS or words[:2] == ["printf", "-v"]):
                self.assigned.update(words[1:])


def _is_statement(node: Node) -> bool:
    return node.type not in REDIRECTS and node.type != "comment"


_NOTED: Mapping[str, Callable[[Syntax, Node, str], None]] = {
    "array": Syntax._note_array,
    "command": Syntax._note_command,
    "comment": Syntax._note_comment,
    "expansion": Syntax._note_expansion,
    "for_statement": Syntax._note_names,
    "function_definition": Syntax._note_function,
    "redirected_statement": Syntax._note_redirected,
    "unset_command": Syntax._note_names,
    "variable_assignment": Syntax._note_assignment,
}


def survey(masked: str, budget: Budget) -> Syntax:
    """Walk the tree of a layer's masked text without recursion: its depth is the script's to choose."""
    root = parse(masked, budget)
    syntax = Syntax(masked, broken=root is None or root.has_error)
    stack = [(root, "")] if root is not None else []
    while stack:
        node, inside = stack.pop()
        syntax.note(node, inside)
        around = inside or _INSIDE.get(node.type, "")
        stack.extend((child, around) for child in reversed(node.children))
    syntax.finish()
    return syntax
