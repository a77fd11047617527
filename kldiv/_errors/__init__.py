"""How sure a number is: effects of rows, standard errors, differences, p-values."""
