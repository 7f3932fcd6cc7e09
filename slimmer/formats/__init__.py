"""How images lie in files: compressed blobs, the archive of `docker save`, the OCI image layout. Knows no transport."""
