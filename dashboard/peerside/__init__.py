"""What the administrator of the other gateway needs: its configuration, made from our row and read into one."""
