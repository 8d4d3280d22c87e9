import "./style.css";

document.querySelector("#app").textContent = `node-vite says: ${import.meta.env.VITE_GREETING}`;
