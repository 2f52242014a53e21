"""Grading: from a released assignment to a gradebook, without trusting what is graded."""
