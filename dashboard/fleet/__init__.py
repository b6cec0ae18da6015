"""Organizations, sites and appliances."""
