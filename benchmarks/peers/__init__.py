"""What jvae is measured against, each written the way its own users would."""
