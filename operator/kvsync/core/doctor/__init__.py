"""What is true of an installation, judged: data that was gathered in, findings out.

Belongs here: what a fact means and what to do about it. ``examine`` names all rules in their order. How
the facts come about: ``kvsync.cli.examination``.
"""
