"""What the departments' systems deliver: folders, files and their forms."""
