"""What a dataset is: the recipe format, and the recipes that ship."""
