// How the search orders what it finds: a page named like the query, then the guide, then methods
// and other pages.
const GUIDE =
  /^(index|getting_started|choosing_a_model|from_scores_to_decisions|glossary|answers|user_guide\/)/;
var Scorer = {
  score: ([docname, title, anchor, description, score]) => {
    const query = new URLSearchParams(window.location.search).get("q") ?? "";
    if (docname.endsWith("sg_execution_times")) return 0;
    if (title.toLowerCase() === query.trim().toLowerCase()) return score + 60;
    return GUIDE.test(docname) ? score + 30 : score;
  },
  // The defaults of Sphinx, which a scorer has to repeat.
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
