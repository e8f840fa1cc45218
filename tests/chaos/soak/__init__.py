"""An operator under churn for as long as one likes, and whether it grows by it."""
