"""Taking submissions: from folders, archives and an LMS's downloads to each student's place."""
