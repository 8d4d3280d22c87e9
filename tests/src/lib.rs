//! One integration binary: the whole product, as its users meet it.
