//! Super packets: cutting them into packets before they are sealed, and joining packets after they were opened.
