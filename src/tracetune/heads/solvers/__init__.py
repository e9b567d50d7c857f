"""Output layers of heads solved without gradient descent: ridge and logistic regression, support vectors."""
