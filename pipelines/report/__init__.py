"""What people see: tables at the terminal and the HTML page of a snapshot, from data that lies on disk."""
