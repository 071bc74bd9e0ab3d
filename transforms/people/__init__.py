"""How texts speak of people: lexicons of groups, who mentions them, and rates with their intervals and tests."""
