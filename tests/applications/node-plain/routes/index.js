module.exports = () => "Hello from node-plain\n";
