//! The protocol core, and the preambles that come before it, explored to closure: from its first state, every input in every state that can be
//! reached, breadth first, until no state is new. What holds on each edge then holds for inputs of any length.

mod chunked;
mod exchange;
mod found;
mod heads;
mod preambles;
mod state;
