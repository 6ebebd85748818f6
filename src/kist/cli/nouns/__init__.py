"""What lists are made of: for each noun its fields, their headers, and the columns of its table."""
