//! Makes components byte by byte, for what no toolchain would make.

pub(crate) mod abi;
pub(crate) mod guest;

/// The exports by which a policy is told.
pub(crate) const POLICY: [&str; 2] = ["convergence:plugin/metadata@0.1.0", "convergence:policy/evaluator@0.1.0"];

/// A component that is not more than the names of its exports.
pub(crate) fn shell(exports: &[&str]) -> Vec<u8> {
    text(&format!("(component {})", shell_fields(exports)))
}

/// The fields that export empty instances under these names.
pub(crate) fn shell_fields(exports: &[&str]) -> String {
    let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (instance $empty))")).collect();
    format!("(instance $empty) {exports}")
}

/// A component from its text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A policy, by its names, that holds this core module. What it exports has no functions, so it gets as far as the
/// compiler and no further.
pub(crate) fn policy_holding(module: &[u8]) -> Vec<u8> {
    let shell = shell(&POLICY);
    let (preamble, rest) = shell.split_at(8);
    let mut bytes = preamble.to_vec();
    bytes.push(1);
    bytes.extend(leb(module.len()));
    bytes.extend_from_slice(module);
    bytes.extend_from_slice(rest);
    bytes
}

/// A core module of `functions` functions without parameters and results. Each has `locals` variables of 64 bits and
/// this body, its end included.
pub(crate) fn module(functions: usize, locals: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    section(&mut bytes, 1, &[1, 0x60, 0, 0]);
    let mut types = leb(functions);
    types.resize(types.len() + functions, 0);
    section(&mut bytes, 3, &types);
    // One memory of a page, for bodies that use it.
    section(&mut bytes, 5, &[1, 0, 1]);
    let mut function = if locals == 0 { vec![0] } else { [vec![1], leb(locals), vec![0x7e]].concat() };
    function.extend_from_slice(body);
    let mut one = leb(function.len());
    one.extend_from_slice(&function);
    let mut code = leb(functions);
    for _ in 0..functions {
        code.extend_from_slice(&one);
    }
    section(&mut bytes, 10, &code);
    bytes
}

/// A core module of one passive data segment, which is part of its native code as it stands.
pub(crate) fn module_of_data(data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    section(&mut bytes, 11, &[&[1, 1], leb(data.len()).as_slice(), data].concat());
    bytes
}

/// Appends a section.
pub(crate) fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    bytes.extend(leb(content.len()));
    bytes.extend_from_slice(content);
}

/// An unsigned number as WebAssembly writes it.
pub(crate) fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A body that multiplies, adds and stores `rounds` times, so that every value is needed.
pub(crate) fn busy_body(rounds: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(rounds * 20);
    for round in 0..rounds {
        let address = u8::try_from(round & 0x3f).unwrap();
        // memory[a] = memory[a] * memory[a + 8] + memory[a + 16]
        body.extend_from_slice(&[0x41, address, 0x41, address, 0x29, 3, 0, 0x41, address, 0x29, 3, 8, 0x7e]);
        body.extend_from_slice(&[0x41, address, 0x29, 3, 16, 0x7c, 0x37, 3, 0]);
    }
    body.push(0x0b);
    body
}
