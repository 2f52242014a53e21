"""What becomes of verdicts: the gradebook, graded notebooks, feedback, reports, exports."""
