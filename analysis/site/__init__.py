"""A leaderboard: static pages of published races, their rankings, methods and tasks, and which method for which problem."""
