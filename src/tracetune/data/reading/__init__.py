"""Reading tables: dialect, dates, roles and layout, each decided with a reason, each to be pinned by an option."""
