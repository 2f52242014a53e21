"""What a submission says: its bytes as cells, put beside the course's and made into a job."""
