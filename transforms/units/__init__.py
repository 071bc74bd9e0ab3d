"""Units of privacy: `unit` names the person that a row belongs to, `bound-units` bounds how many rows one person contributes."""
