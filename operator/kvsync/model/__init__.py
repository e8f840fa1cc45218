"""Plain data: spec, workload, change, source, status, reasons, errors.

Belongs here: frozen dataclasses and enums, and parsing them from plain JSON values.
How to tell: it would still make sense on paper. Knows nothing else of this package.
"""
