// Where the names of classes may wrap: between their words.
document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("h1, h2, nav a, td a, .sig-name, .prev-next-title")) {
    const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) found.push(texts.currentNode);
    for (const text of found) {
      const words = text.data.split(/(?<=[a-z])(?=[A-Z])|(?<=[._])(?=\w)/);
      text.replaceWith(...words.flatMap((word) => [word, document.createElement("wbr")]).slice(0, -1));
    }
  }
});
