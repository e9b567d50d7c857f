"""What scores are estimated from: gradients of gates and weights, random gates, and independent reads."""
