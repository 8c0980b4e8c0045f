"""What images themselves say: does a split leak, are synthetic images copies, are they real and diverse enough."""
