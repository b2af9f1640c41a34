"""What is wrong or odd in a data set: rows, pictures, rotation groups, leaks between splits."""
