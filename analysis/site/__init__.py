"""A leaderboard: static pages of published races: rankings, methods, tasks, and which method for which problem."""
