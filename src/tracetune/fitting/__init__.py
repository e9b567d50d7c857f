"""One fit for every task: head, method, the best of them, and the record of it."""
