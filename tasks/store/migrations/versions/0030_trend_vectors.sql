-- By what a trend is compared with what personas are interested in: its name, which stands in trend_names, one headline of
-- the news behind it, and the vector of both. A vector is 384 numbers of half precision, of the model that is named.
CREATE TABLE trend_vectors (
    name_id bigint PRIMARY KEY REFERENCES trend_names (id) ON DELETE CASCADE,
    headline text,
    model text,
    vector bytea,
    CHECK ((model IS NULL) = (vector IS NULL))
);
GRANT SELECT, INSERT, UPDATE, DELETE ON trend_vectors TO vivesphere_app;
GRANT SELECT ON trend_vectors TO vivesphere_reader;
