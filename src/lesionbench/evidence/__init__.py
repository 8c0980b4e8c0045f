"""What results mean, computed from stored predictions and pools; nothing is trained here."""
