"""What a build will take - hours, bytes, money, and the stage that limits - before it runs."""
