"""dataset → split → augmenter → training set → classifier → predictions → metrics → leaderboard.

One noun a file, in that order; a module imports only from its own left.
"""
