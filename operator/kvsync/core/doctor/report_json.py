"""A report as data: the stable form of docs/doctor.md."""

from __future__ import annotations

from typing import Any

from kvsync.core.doctor.finding import Finding, Mark, Report


def report_json(report: Report) -> dict[str, Any]:
    """All of it."""
    counts = report.counts
    return {
        "healthy": report.exit_code == 0,
        "exit_code": report.exit_code,
        "seen_from": report.seen_from,
        "counts": {mark.value: counts[mark] for mark in Mark},
        "findings": [_entry(finding) for finding in report.findings],
    }


def _entry(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "subject": finding.subject,
        "mark": finding.mark.value,
        "seen": finding.seen,
        "remedy": finding.remedy,
    }
