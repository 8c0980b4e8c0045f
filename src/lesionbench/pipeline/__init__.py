"""dataset → split → augmenter → training set → classifier → predictions → metrics → leaderboard.

One file for each noun, in that order; a module imports only from its own left.
"""
