"""One endpoint of tools for each tenant: joins its servers, puts credentials on, and lets through what is allowed."""
