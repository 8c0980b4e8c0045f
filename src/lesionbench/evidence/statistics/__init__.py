"""What the tables of evidence are computed with: scores, influence values, variances, tests, verdicts."""
