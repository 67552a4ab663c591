"""The words around an option letter in an answer, in the languages that models answer in."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Alternatives of a regular expression each; empty where a language needs none.

    Attributes:
        answer: what the letter is said to be ("answer", "Lösung").
        link: what connects the two ("is", "lautet").
        filler: what may stand between ("the", "option", "probably").
        choose: verbs of choice ("I choose", "ich wähle").
        option: what an option is called.
        correct: what a chosen option is said to be.
        denied: words by which something is denied.
    """

    answer: str
    link: str
    filler: str
    choose: str
    option: str
    correct: str
    denied: str


SPACED: dict[str, Words] = {
    "English": Words(
        r"answer|ans|choice|pick|guess|selection|(?:correct|right|best|matching|likeliest) one|best\s+(?:match|fit)|"
        r"(?:option|alternative|letter)(?=\s+(?:is|was)\b|\W*[:=])",
        r"is|was|would\s+be|must\s+be|should\s+be|has\s+to\s+be|will\s+be|remains|seems\s+to\s+be|appears\s+to\s+be",
        r"the|my|likely|most\s+likely|probably|clearly|definitely|therefore|thus|indeed|simply|correct|right|best",
        r"choose|chose|select(?:ed)?|pick(?:ed)?|opt\s+for|(?:go|going|went)\s+(?:with|for)|vote\s+for|settle\s+on",
        r"option|letter|choice|answer|alternative",
        r"correct|right|true|accurate|best|answer|one",
        r"not|no|neither|nor|none|cannot|wrong|incorrect|false|unsure|never|hardly|unlikely|except|"
        r"rul(?:e|ed|ing)\s+out|eliminat\w*|exclud\w*|discard\w*|reject\w*|anything\s+but|other\s+than|instead\s+of|"
        r"rather\s+than|\w+n['’]t",
    ),
    "German": Words(
        r"antwort|lösung|antwortmöglichkeit|richtig(?=\s+ist\b)|option(?=\s+(?:ist|lautet)\b)",
        r"ist|wäre|lautet|muss|heißt",
        r"die|der|das|richtige|korrekte|wahrscheinlich|also|sein|buchstabe",
        r"wähle|nehme|entscheide\s+mich\s+für",
        r"antwort|buchstabe|möglichkeit|auswahl",
        r"richtig|richtige|korrekt|korrekte",
        r"nicht|kein\w*|weder|falsch\w*|unsicher",
    ),
    "French": Words(
        r"réponse|reponse|solution",
        r"est|serait|c['’]est",
        r"la|le|l['’]|correcte|bonne|exacte|donc|probablement",
        r"choisis|choisirais|sélectionne",
        r"lettre|choix|réponse|proposition",
        r"correcte?|bonne|exacte?|juste|réponse",
        r"pas|ne|aucune?|ni|fausse?|incorrecte?",
    ),
    "Spanish": Words(
        r"respuesta|solución|opción(?=\s+(?:correcta\s+)?es\b)",
        r"es|sería|son",
        r"la|el|correcta|final|probablemente",
        r"elijo|escojo|selecciono|elegiría",
        r"opción|opcion|letra|alternativa",
        r"correcta?|respuesta",
        r"no|ninguna?|ni|incorrect[ao]|fals[ao]",
    ),
    "Italian": Words(
        r"risposta|soluzione|opzione(?=\s+(?:corretta\s+)?è)",
        r"è|sarebbe|e['’]",
        r"la|il|l['’]|corretta|giusta|esatta|finale|probabilmente",
        r"scelgo|seleziono|sceglierei",
        r"opzione|lettera|alternativa|scelta",
        r"corretta|giusta|esatta|risposta",
        r"non|nessuna?|né|sbagliat[ao]|errat[ao]",
    ),
    "Portuguese": Words(
        r"resposta|solução|(?:opção|alternativa)(?=\s+(?:correta\s+)?é)",
        r"é|seria",
        r"(?-i:a)|o|correta|certa|final|provavelmente",
        r"escolho|seleciono|escolheria",
        r"opção|letra|alternativa",
        r"correta|certa|resposta",
        r"não|nenhuma?|nem|errad[ao]|incorret[ao]",
    ),
    "Dutch": Words(
        r"antwoord|oplossing", r"is", r"het|de|juiste", r"kies", r"optie|antwoord", r"juist\w*|correct\w*", r"niet|geen"
    ),
    "Scandinavian": Words(
        r"svar|svaret",
        r"är|er",
        r"det|rätta|rette|riktige|korrekta",
        r"väljer|vælger|velger",
        r"alternativ|svar",
        r"rätt|riktig\w*|korrekt",
        r"inte|ikke|ingen",
    ),
    "Polish, Czech": Words(
        r"odpowiedź|odpowiedzią|odpověď|odpoved",
        r"to|jest|je",
        r"poprawna|prawidłowa|správná",
        r"wybieram|vybírám",
        r"opcja|možnost|odpowiedź|odpověď",
        r"poprawna|prawidłowa|správná|správně",
        r"nie|není|ani",
    ),
    "Russian, Ukrainian": Words(
        r"ответ|ответом|вариант(?=\s?[:—–-])|решение|відповідь",
        r"это|является|будет|є",
        r"правильный|верный|вариант|буква|правильна",
        r"выбираю|выбрал|обираю",
        r"вариант|буква|ответ|варіант",
        r"верный|верно|верен|правильный|правильно|правильный\s+ответ|ответ",
        r"не|нет|ни|неверн\w*|неправильн\w*",
    ),
    "Turkish": Words(r"cevap|yanıt|cevabı", r"", r"doğru", r"seçiyorum", r"seçenek|şık", r"doğru(?:dur)?", r"değil\w*"),
    "Indonesian": Words(
        r"jawaban(?:nya)?", r"adalah|ialah", r"yang|benar|tepat",
        r"(?:me)?pilih", r"opsi|pilihan", r"benar", r"bukan|tidak",
    ),
    "Vietnamese": Words(
        r"đáp\s+án|câu\s+trả\s+lời", r"là", r"đúng", r"chọn", r"lựa\s+chọn|phương\s+án", r"đúng", r"không|sai"
    ),
    "Arabic": Words(
        r"الإجابة|الاجابة|الجواب", r"هي|هو", r"الصحيحة?", r"أختار", r"الخيار|الحرف", r"صحيح|الصحيحة?", r"ليس\w*|لا"
    ),
    "Hindi": Words(r"उत्तर|जवाब", r"है", r"सही", r"", r"विकल्प", r"सही", r"नहीं"),
}  # fmt: skip
"""Languages that put blanks between words."""

UNSPACED: dict[str, Words] = {
    "Chinese": Words(
        r"答案|正解|答",
        r"应该是|應該是|应为|應為|是|为|為|应选|應選",
        r"正确|正確|的|选择|選擇|选项|選項|选|選|项|項|应该|應該|最终|最終|最佳",
        r"选择|選擇|选|選",
        r"选项|選項|项|項",
        r"正确|正確|对的|對的|正确答案|正確答案|答案",
        r"不|没|沒|非|错|錯|并非|無|无法",
    ),
    "Japanese": Words(
        r"正解|答え|答|回答|解答",
        r"は|が",
        r"選択肢|最終|正しい|おそらく|たぶん",
        r"",
        r"選択肢",
        r"正解|正しい|答え",
        r"ない|なく|ません|間違|誤り|ではな|じゃな",
    ),
    "Korean": Words(
        r"정답|답변|답",
        r"은|는|이|가",
        r"선택지|옵션|보기|최종",
        r"",
        r"선택지|옵션|보기",
        r"정답|맞습니다|맞다|옳습니다|답",
        r"아니|아닙|않|없",
    ),
}
"""Languages that put none, or glue particles to words."""

UNSURE = (
    r"maybe|perhaps|possibly|might|may\s+be|could\s+(?:also\s+)?be|uncertain|unclear|either|depends|hard\s+to\s+(?:say|tell)|"
    r"vielleicht|möglicherweise|könnte|peut-être|pourrait|quizás|tal\s+vez|podría|forse|potrebbe|talvez|poderia|"
    r"возможно|может"
)
UNSURE_UNSPACED = r"可能|也许|也許|或许|かもしれ|아마|수도"


def spaced(field: str) -> str:
    """The alternatives of all spaced languages for a field of :class:`Words`."""
    return "|".join(filter(None, (getattr(words, field) for words in SPACED.values())))


def unspaced(field: str) -> str:
    """The alternatives of all other languages for a field of :class:`Words`."""
    return "|".join(filter(None, (getattr(words, field) for words in UNSPACED.values())))


def either(field: str) -> str:
    """A group that matches a word of any language for a field of :class:`Words`."""
    return rf"(?:(?<!\w)(?:{spaced(field)})(?!\w)|(?:{unspaced(field)}))"
