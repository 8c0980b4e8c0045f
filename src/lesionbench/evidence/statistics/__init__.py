"""What every table of evidence is computed with: scores, influence values, variances, tests, verdicts."""
