"""Images in, posteriors out; latents in, images out; and the loss between them."""
