"Data in rows: passengers, weather, words, and workbooks of formulas."
