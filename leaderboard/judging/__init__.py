"""What the results say: boards, worst cases, intervals, the audit."""
