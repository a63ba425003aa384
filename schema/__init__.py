"""The GraphQL door: types, loaders, execution, limits."""
