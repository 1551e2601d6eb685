"""Tables: files of several formats and data frames, with numbers, categories, dates and missing cells."""
