module.exports = (slug) => `node-plain has the slug ${slug}\n`;
