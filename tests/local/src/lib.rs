//! A load generator that checks every answer, and the tests of whole processes.
