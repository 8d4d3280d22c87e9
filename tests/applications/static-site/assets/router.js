// Every path that no file has is answered with index.html, and this shows it.
document.querySelector("main").textContent = `You are at ${location.pathname}`;
